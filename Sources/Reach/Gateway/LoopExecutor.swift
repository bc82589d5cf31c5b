import NIOCore

/// Runs tasks on an event loop.
///
/// A task that waits for one answer after the other from a channel wakes a thread for each, unless it runs where the
/// channel does.
final class LoopExecutor: TaskExecutor {
  private let loop: any EventLoop

  init(_ loop: any EventLoop) { self.loop = loop }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
