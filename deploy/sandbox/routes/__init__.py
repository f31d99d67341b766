"""The calls, one file for each noun of the contract."""
