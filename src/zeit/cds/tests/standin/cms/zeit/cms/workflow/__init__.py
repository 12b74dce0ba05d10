"""How content gets published."""
