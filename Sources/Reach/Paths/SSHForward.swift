import Basics
import Foundation
import Link
import Logging
import NIOCore
import NIOPosix
import OpenClaw
import Subprocess
import Synchronization
import SystemPackage

/// One port of a Host's loopback, forwarded to a unix socket of the control plane by OpenSSH, which is started again
/// whenever it ends.
///
/// The private key lies in a file of its own (0600, in a folder 0700) only while ssh proves who it is.
///
///     making ──▶ up ──▶ lost ──▶ making …      a refusal waits 60 to 300 s, everything else 0 to 20 s, fully jittered
///       └─────▶ lost                           closed: at the end, from every state
public final class SSHForward: ControlWay {
  /// What one forward is made of. Two that are equal are the same forward, the key apart.
  public struct Plan: Sendable, Equatable {
    public let server: SSHServer
    /// The vault's name of the private key.
    public let key: String
    /// Of the Instance, on the Host's loopback.
    public let port: Int

    public init(server: SSHServer, key: String, port: Int) {
      self.server = server
      self.key = key
      self.port = port
    }
  }

  enum State: Sendable {
    /// With what the last try ended with, if it was not the first.
    case making(after: PathFailure?)
    case up
    case lost(PathFailure)
    case closed
  }

  public let plan: Plan
  private let key: Secret
  private let folder: SSHFolder
  private let timer: any Clock<Duration>
  private let logger: Logger
  private let state = Mutex(State.making(after: nil))
  private let task = Mutex<Task<Void, Never>?>(nil)

  /// - Parameter folder: of this control plane; each forward makes one of its own in it.
  public init(
    _ plan: Plan, key: Secret, folder: String, timer: any Clock<Duration> = ContinuousClock(), logger: Logger
  ) {
    self.plan = plan
    self.key = key
    self.folder = SSHFolder(path: folder + "/" + Hex.encode([UInt8].random(count: 4)))
    self.timer = timer
    self.logger = logger
  }

  /// Begins. Once.
  public func start() { task.withLock { $0 = $0 ?? Task { await supervise() } } }

  /// Ends ssh and removes what it needed. Streams that are open on it end with it.
  public func close() async {
    let running = task.withLock { $0 }
    running?.cancel()
    await running?.value
  }

  // MARK: - Using it

  public func dial<Value: Sendable>(
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value {
    try await waitUntilUp()
    do {
      return try await OpeningTimes.measure(.stream) {
        try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
          .connectTimeout(.seconds(2))
          .connect(unixDomainSocketPath: folder.socket) { channel in initialize(channel) }
      }
    } catch let error as any ExplainedError {
      throw error
    } catch {
      throw PathFailure(
        AWError(
          .pathUnreachable, "The forward to \(plan.server.text) ended just now.",
          next: "It is made again by itself.", cause: error))
    }
  }

  public func look() async throws -> JSONValue {
    try await waitUntilUp()
    return [
      "path": .string(PathKind.ssh.rawValue), "server": .string(plan.server.text),
      "hostKeys": .array(plan.server.fingerprints.map { .string($0) }), "port": .integer(Int64(plan.port)),
    ]
  }

  /// - Throws: why it is not up, once that is known.
  private func waitUntilUp() async throws {
    let began = ContinuousClock.now
    while true {
      switch state.withLock({ $0 }) {
      case .up: return
      case .lost(let failure): throw failure
      case .closed:
        throw PathFailure(
          AWError(.pathUnreachable, "This control path was closed.", next: "Another one took its place: try again."))
      case .making(let earlier):
        let limit = earlier == nil ? PathLimits.forwardWithin : PathLimits.againWithin
        if ContinuousClock.now - began >= limit { throw earlier ?? slow }
      }
      try await timer.sleep(for: PathLimits.pollInterval)
    }
  }

  private var slow: PathFailure {
    PathFailure(
      AWError(
        .pathUnreachable, "ssh has not reached \(plan.server.text) within \(PathLimits.forwardWithin.words).",
        next: "Check that the server runs and that the control plane's machine may reach it."), .connectTimeout)
  }

  // MARK: - Supervision

  private func supervise() async {
    var pace = Reconnect()
    while !Task.isCancelled {
      let began = ContinuousClock.now
      let failure = await run()
      guard !Task.isCancelled else { break }
      let lived = wasUp ? ContinuousClock.now - began : .zero
      state.withLock { $0 = .lost(failure) }
      logger.warning(
        "an ssh forward ended",
        metadata: [
          "server": "\(plan.server.text)", "class": "\(failure.lossClass?.rawValue ?? "-")",
          "error": "\(failure.explained)",
        ])
      let wait = pace.delay(after: Self.reason(failure), lived: lived, random: .random(in: 0..<1))
      // Cancellation ends the wait, and the loop's condition sees it.
      try? await timer.sleep(for: wait)
      state.withLock { $0 = .making(after: failure) }
    }
    state.withLock { $0 = .closed }
    remove()
  }

  private var wasUp: Bool { state.withLock { if case .up = $0 { true } else { false } } }

  private static func reason(_ failure: PathFailure) -> Reconnect.Reason {
    if failure.isRefusal { return .refused }
    switch failure.lossClass {
    case .dnsFailure, .connectRefused, .connectTimeout, .networkUnreachable: return .unreached
    default: return .failure
    }
  }

  /// Runs ssh until it ends.
  private func run() async -> PathFailure {
    do {
      try lay()
      var options = PlatformOptions()
      options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(1))]
      let result = try await Subprocess.run(
        .name("setpriv"),
        arguments: Arguments(SSHCommand.arguments(plan.server, port: plan.port, folder: folder)),
        environment: .custom(Self.environment(home: folder.path)), workingDirectory: FilePath(folder.path),
        platformOptions: options, input: .none, output: .discarded, error: .sequence
      ) { execution in
        let raising = Task { await raise() }
        var said: [UInt8] = []
        do {
          for try await chunk in execution.standardError {
            chunk.withUnsafeBytes { said += $0 }
            said = said.suffix(PathLimits.sshWordsBytesMax)
          }
        } catch {
          raising.cancel()
          await raising.value
          throw error
        }
        // ssh has ended: whoever still looks for its socket stops.
        raising.cancel()
        await raising.value
        return said
      }
      return SSHVerdict.of(
        String(decoding: result.closureResult, as: UTF8.self), code: Self.code(result.terminationStatus),
        wasUp: wasUp, server: plan.server)
    } catch let error as SubprocessError where error.code == .executableNotFound {
      return SSHVerdict.missing
    } catch {
      return PathFailure(
        AWError(
          .pathUnreachable, "The forward to \(plan.server.text) cannot be made on the control plane's machine.",
          next: "Look at the control plane's log.", cause: error))
    }
  }

  private static func environment(home: String) -> [Environment.Key: String] {
    // ssh speaks to people in the words of the C locale, which is what the verdict reads.
    let values = ["PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "HOME": home]
    return Dictionary(
      uniqueKeysWithValues: values.compactMap { name, value in Environment.Key(rawValue: name).map { ($0, value) } })
  }

  private static func code(_ status: TerminationStatus) -> Int32 {
    switch status {
    case .exited(let code): Int32(code)
    case .signaled(let signal): 128 + Int32(signal)
    }
  }

  /// Sees the socket come, which ssh makes once it was let in.
  private func raise() async {
    let limit = ContinuousClock.now + PathLimits.forwardWithin
    while ContinuousClock.now < limit, !Task.isCancelled {
      guard (try? await timer.sleep(for: PathLimits.pollInterval)) != nil else { return }
      if access(folder.socket, F_OK) == 0 {
        unlink(folder.key)
        state.withLock { $0 = .up }
        return
      }
    }
  }

  // MARK: - Files

  private func lay() throws {
    remove()
    let files = FileManager.default
    try files.createDirectory(
      atPath: folder.path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    let private0600: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
    let known = Data(SSHCommand.knownHosts(plan.server).utf8)
    // OpenSSH wants the last line of a private key to end.
    let isLaid = key.withText { text in
      files.createFile(atPath: folder.key, contents: Data((text + "\n").utf8), attributes: private0600)
    }
    guard isLaid, files.createFile(atPath: folder.knownHosts, contents: known, attributes: private0600) else {
      throw AWError(
        .dataUnwritable, "The folder \(folder.path) cannot be written.", next: "Free space on its disk.")
    }
  }

  /// What is not there any more needs no removal.
  private func remove() { try? FileManager.default.removeItem(atPath: folder.path) }
}
