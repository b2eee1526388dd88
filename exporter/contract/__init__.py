"""What the contract asks for: business days, the ends of operating systems. Pure: no files, no clock, no network."""
