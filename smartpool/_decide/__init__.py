"""What deciding is: facts in, a plan with reasons out. Pure: nothing here acts."""
