"""What is known of a recording: its description, files, measurements and what they prove. Pure."""
