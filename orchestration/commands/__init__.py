"""What people type: one module for each command, its arguments and its screen."""
