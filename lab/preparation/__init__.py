"""From a table to what is trained on: rows split, gaps filled, levels made one-hot, columns scaled, all of it kept."""
