"""The curvature engine: the Hessian as an operator, its eigenvalues, and what is proved of them."""
