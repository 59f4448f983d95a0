"""What must outlive a restart: keys, jobs and their returns, what minions told of themselves."""
