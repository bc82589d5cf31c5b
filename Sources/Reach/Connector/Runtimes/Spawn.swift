import Basics
import Dispatch
import Foundation

/// Starts a process that outlives this one, and notices its end.
enum Spawn {
  /// A queue of its own: work that blocks the shared ones must not delay the news of an end.
  private static let ends = DispatchQueue(label: "aw.runtime.ends")

  struct Request {
    var program: String
    /// After the program's own name. Everybody on the Host can read them: no secrets.
    var arguments: [String]
    var environment: [String: Secret]
    var directory: String
    /// Standard output and error are appended here.
    var output: String
  }

  /// Starts it in a session and process group of its own, with nothing of ours open.
  ///
  /// - Returns: the process id; it is also the id of the session and of the group.
  /// - Throws: `runtimeProgramMissing`, `runtimeDiskFull`, `runtimeFailed`.
  static func start(_ request: Request) throws -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    let log = open(request.output, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
    guard log >= 0 else { throw AWError.file(request.output, errno, doing: "opened") }
    defer { close(log) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, log, 1)
    posix_spawn_file_actions_adddup2(&actions, log, 2)
    _ = LinuxCalls.addChdir?(&actions, request.directory)
    _ = LinuxCalls.addCloseFrom?(&actions, 3)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // 0x80 is POSIX_SPAWN_SETSID of glibc and musl.
    let flags = Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK) | 0x80
    posix_spawnattr_setflags(&attributes, flags)
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)

    var process: pid_t = 0
    let arguments = copies([request.program] + request.arguments)
    defer { erase(arguments) }
    let environment = copies(request.environment.map { key, value in value.withText { "\(key)=\($0)" } })
    defer { erase(environment) }
    let code = posix_spawn(&process, request.program, &actions, &attributes, arguments, environment)
    switch code {
    case 0: return process
    case ENOENT, EACCES, ENOEXEC, ENOTDIR: throw AWError.programMissing(request.program, code)
    default:
      throw AWError(
        .runtimeFailed, "The program \(request.program) cannot be started: \(String(cString: strerror(code))).",
        next: "Check the Host's limits on processes and memory.")
    }
  }

  /// C strings with the null pointer that ends such a list.
  private static func copies(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] { texts.map { strdup($0) } + [nil] }

  /// The copies may hold secrets: they are not left behind in freed memory.
  private static func erase(_ copies: [UnsafeMutablePointer<CChar>?]) {
    for case let copy? in copies {
      memset(copy, 0, strlen(copy))
      free(copy)
    }
  }

  /// Waits until the process has ended, whoever its parent is. False when the waiting task was cancelled.
  static func waitForEnd(_ process: Int32, startTicks: UInt64, timers: any Clock<Duration>) async -> Bool {
    guard let descriptor = LinuxCalls.pidfdOpen?(process, 0), descriptor >= 0 else {
      return await pollForEnd(process, startTicks: startTicks, timers: timers)
    }
    let (stream, continuation) = AsyncStream<Void>.makeStream()
    // A process descriptor turns readable when its process ends. (Linux 5.3)
    let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: ends)
    source.setEventHandler { continuation.finish() }
    source.setCancelHandler { close(descriptor) }
    source.activate()
    defer { source.cancel() }
    // The descriptor was opened by number: only now is it certain whose it is.
    guard ProcessTable.live(process, startTicks: startTicks) != nil else { return true }
    for await _ in stream {}
    return !Task.isCancelled
  }

  private static func pollForEnd(_ process: Int32, startTicks: UInt64, timers: any Clock<Duration>) async -> Bool {
    while ProcessTable.live(process, startTicks: startTicks) != nil {
      guard (try? await timers.sleep(for: RuntimeLimits.pollInterval)) != nil else { return false }
    }
    return true
  }

  /// Collects a child that has ended. Nil for a process that is not our child: only its parent learns the code.
  static func collect(_ process: Int32) -> Int32? {
    var status: Int32 = 0
    while true {
      let result = waitpid(process, &status, WNOHANG)
      if result == process { return exitCode(status) }
      if result < 0, errno == EINTR { continue }
      return nil
    }
  }

  /// The exit code as shells give it: 128 + the number of the signal that ended it.
  static func exitCode(_ status: Int32) -> Int32 {
    let signal = status & 0x7f
    return signal == 0 ? (status >> 8) & 0xff : 128 + signal
  }
}

extension AWError {
  static func programMissing(_ program: String, _ code: Int32 = ENOENT) -> AWError {
    AWError(
      .runtimeProgramMissing,
      "The program \(program.quoted) cannot be run on this Host: \(String(cString: strerror(code))).",
      next: "Install OpenClaw on the Host ('npm install -g openclaw'), or name its path when starting the Connector.")
  }
}
