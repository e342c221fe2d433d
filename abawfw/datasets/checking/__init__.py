"""What is wrong with data, and facts about it."""
