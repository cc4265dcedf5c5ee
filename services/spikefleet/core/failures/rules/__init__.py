"""From what an end says to a row of the failure table: ordered rules, and how they are tried."""
