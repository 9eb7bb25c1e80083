resolver "billing" {} # ERROR: No mesh block
