// Package dns answers the names of the mesh, and those outside of it that a service has declared, and passes every other
// query on to the resolver that was asked.
//
// Applications keep the resolvers that they have: the kernel sends their queries here, and what is not about the mesh
// travels byte for byte, over the transport it came by, so that a host resolves as it did before. The server is
// therefore neither a cache nor a resolver. It answers only what it understands in full: a query that it cannot
// parse, or that is no lookup, is the business of the resolver that was asked.
package dns
