"""What the commands share about AWS: the session, the deployed stack, its queues, and prices."""
