"""What people run on their machine; never packaged into the function."""
