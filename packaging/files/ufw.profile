[meshd]
title=Service mesh
description=Connections between the hosts of a service mesh: mutual TLS, which releases to come listen for. Until then the ports of the services' own endpoints are opened as without a mesh.
ports=15008/tcp
