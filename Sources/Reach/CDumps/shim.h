#include <sys/prctl.h>
#include <sys/resource.h>

// prctl takes a variable number of arguments, which Swift cannot call.
static inline int aw_forbid_dumps(void) {
  const struct rlimit none = {0, 0};
  return setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}
