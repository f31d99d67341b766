"""Publishers and publications as the intake takes and shows them."""
