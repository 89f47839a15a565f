"""How a picture is made for a unit: what is wanted, what is varied, and how it is shaken meanwhile."""
