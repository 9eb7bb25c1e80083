// Package lab makes many hosts on one machine: each is a set of namespaces and a cgroup subtree on a network of
// their own, with unmodified programs in cgroups that are named like their systemd units.
//
// A lab is described by a folder:
//
//	meshd.hcl            becomes /etc/meshd/meshd.hcl on every host
//	mesh.d/*.hcl         becomes /etc/meshd/mesh.d on every host; the host blocks say which hosts there are
//	units/HOST/*.service the units of a host
//
// The folder itself is /srv/lab on every host, where the programs of a person belong. A host sees the machine's files
// and cannot write them: /etc and /var are overlays that forget, /home, /root, /run, /srv, /tmp, /dev/shm and
// /sys/fs/bpf begin empty and are its own, and the rest is read-only. It has no route out. Processes are not apart: a
// host sees those of the machine.
//
// One more host, [Outside], plays the rest of the world: it owns the bridge that joins the hosts and the resolver that
// they ask, which knows the one name outside.example.
//
// With the files of a Debian, in [Config.Tree], the hosts are whole systems instead, which [Lab.Boot] boots: systemd runs
// on each, as in a machine of its own, with its own processes.
//
// A supervisor process owns the namespaces, is the parent of the units, and ends the lab, whatever became of the
// process that made it: kernel objects that only the supervisor holds cannot be left behind.
package lab
