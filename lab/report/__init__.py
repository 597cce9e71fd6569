"""What is read: a derivation's page in the terminal, and a report of verdicts as one HTML file."""
