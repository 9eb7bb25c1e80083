# The hosts have the one of the package.
