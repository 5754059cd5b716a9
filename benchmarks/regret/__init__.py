r"""Regret: smartpool's time without a hint, by the best time that a person could choose.

::

    workloads/    what is to be done, by theme            contenders/    who does it, a file each
         \\                                                    /
          trial.py      one pair, in a fresh process: seconds, answers checked
          runner.py     all pairs, side by side, in rounds
          figures.py    which rival was the best, and the regret: pure
          report.py     the table, the JSON, the plot
"""
