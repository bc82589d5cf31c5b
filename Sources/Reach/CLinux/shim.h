// What Swift's own module of the C library lacks.
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

// prctl takes a variable number of arguments, which Swift cannot call.
static inline int aw_forbid_dumps(void) {
  const struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return 0;
  // Swift's own handler of crashes writes registers, and the memory that they point to, to standard error.
  const int crashes[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGTRAP};
  for (unsigned i = 0; i < sizeof crashes / sizeof *crashes; i++) {
    if (signal(crashes[i], SIG_DFL) == SIG_ERR) return 0;
  }
  return 1;
}
