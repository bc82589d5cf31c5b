import Glibc
import SecretExec

// `aw secret-exec` as a program of its own: linked statically, so that it runs in any container.
guard MemoryDumps.forbid() else { exit(1) }
exit(SecretExec.run(Array(CommandLine.arguments.dropFirst())))
