"""What people are told, and where: messages to those who must know, statuses on the commits themselves."""
