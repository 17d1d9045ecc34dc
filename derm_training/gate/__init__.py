"""The limits beyond which a picture is not analysed, and how many pictures pass them."""
