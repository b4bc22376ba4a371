"""Pictures drawn with matplotlib, and the colours of operators, which the page shares."""
