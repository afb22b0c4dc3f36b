"""Ways into worlddb from the frameworks that train and run agents."""
