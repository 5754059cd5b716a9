"""`smartpool demo`: the main job on real input, beside the plain loop.

What it uses of smartpool is what users can import, and nothing else.
"""
