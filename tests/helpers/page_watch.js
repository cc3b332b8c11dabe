// Runs before everything else on the page: what goes wrong is kept.
window.problems = [];
for (const kind of ["error", "securitypolicyviolation", "unhandledrejection"])
  window.addEventListener(kind, (event) => window.problems.push(`${kind}: ${event.message ?? event.blockedURI ?? event.reason}`), true);
