"""What the user reads: tables and exports, all made from one plain document."""
