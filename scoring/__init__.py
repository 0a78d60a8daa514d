"""How good drawn and edited digits are: the classifiers, the measures, and the work of the *_fid scripts."""
