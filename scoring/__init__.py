"""How good drawn digits are: the classifier, the measures, and the work of the *_fid scripts."""
