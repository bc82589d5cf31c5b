import Dispatch
import Foundation
import Synchronization

/// A serial executor with a thread of its own, for an actor that calls a blocking C library.
///
/// Blocking it blocks nobody else, and the actor's isolation keeps two callers apart.
package final class ThreadExecutor: SerialExecutor {
  private struct State {
    var jobs: [UnownedJob] = []
    var stopped = false
  }

  private let state = Mutex(State())
  private let wakeUp = DispatchSemaphore(value: 0)

  private init() {}

  package static func start(name: String) -> ThreadExecutor {
    let executor = ThreadExecutor()
    // The thread keeps the executor alive until `stop`.
    let thread = Thread { executor.work() }
    thread.name = name
    thread.start()
    return executor
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    state.withLock { $0.jobs.append(job) }
    wakeUp.signal()
  }

  /// Lets the thread end once its queue is empty.
  package func stop() {
    state.withLock { $0.stopped = true }
    wakeUp.signal()
  }

  private func work() {
    while true {
      wakeUp.wait()
      let (jobs, stopped) = state.withLock { state in
        defer { state.jobs = [] }
        return (state.jobs, state.stopped)
      }
      for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
      if stopped, jobs.isEmpty { return }
    }
  }
}
