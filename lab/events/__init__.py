"""Event files, which TensorBoard shows: how they are framed, what is in them, who writes and who serves them."""
