"""What every picture is drawn with: the frame around it, its lines and letters, a colour for each operator."""
