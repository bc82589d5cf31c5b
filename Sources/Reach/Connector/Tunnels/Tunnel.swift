import Basics
import Foundation
import Link
import Logging
import Subprocess
import Synchronization
import SystemPackage

/// One cloudflared that serves one Instance's port at its public hostname, started again whenever it ends.
///
///     starting ──▶ up ──▶ starting …   as cloudflared's own connections come and go
///        └──────────┴───▶ lost, refused ──▶ starting …   it ended: 0 to 20 s, after a refusal 60 to 300 s, jittered
final class Tunnel: Sendable {
  /// Kept of what cloudflared says in one go, until a line ends.
  static let lineBytesMax = 16_384

  let plan: TunnelPlan
  private let program: String
  private let configurationFile: String
  private let timers: any Clock<Duration>
  private let logger: Logger
  private let state = Mutex(TunnelState(phase: .starting))
  private let task = Mutex<Task<Void, Never>?>(nil)

  init(
    _ plan: TunnelPlan, program: String, configurationFile: String, timers: any Clock<Duration>, logger: Logger
  ) {
    self.plan = plan
    self.program = program
    self.configurationFile = configurationFile
    self.timers = timers
    self.logger = logger
  }

  /// How it is.
  var now: TunnelState { state.withLock { $0 } }

  /// Begins. Once.
  func start() { task.withLock { $0 = $0 ?? Task { await supervise() } } }

  /// Ends cloudflared, which gives what is under way on it a moment.
  func close() async {
    let running = task.withLock { $0 }
    running?.cancel()
    await running?.value
  }

  // MARK: - Supervision

  private func supervise() async {
    var pace = Reconnect()
    while !Task.isCancelled {
      let began = ContinuousClock.now
      let (log, code) = await run()
      guard !Task.isCancelled else { break }
      let (failure, isRefusal) = log.verdict(code: code, plan)
      state.withLock { state in
        state.phase = isRefusal ? .refused : .lost
        state.connections = 0
        state.failure = failure
      }
      logger.warning(
        "cloudflared ended",
        metadata: [
          "hostname": "\(plan.hostname)", "code": "\(code)", "class": "\(failure.lossClass?.rawValue ?? "-")",
          "error": "\(failure.message)",
        ])
      let wait = pace.delay(
        after: isRefusal ? .refused : .failure, lived: log.wasUp ? ContinuousClock.now - began : .zero,
        random: .random(in: 0..<1))
      // Cancellation ends the wait, and the loop's condition sees it.
      try? await timers.sleep(for: wait)
      state.withLock { state in
        state.phase = .starting
        state.restarts += 1
      }
    }
  }

  /// Runs cloudflared until it ends.
  private func run() async -> (log: TunnelLog, code: Int32) {
    var options = PlatformOptions()
    options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: TunnelLimits.endWithin)]
    do {
      let result = try await Subprocess.run(
        .name("setpriv"),
        arguments: Arguments(TunnelPlan.arguments(program: program, configurationFile: configurationFile)),
        environment: .custom(Self.environment), platformOptions: options, input: .none, output: .discarded,
        error: .sequence
      ) { execution in
        var log = TunnelLog()
        var rest: [UInt8] = []
        for try await chunk in execution.standardError {
          chunk.withUnsafeBytes { rest += $0 }
          while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            log.take(String(decoding: rest[..<end], as: UTF8.self))
            rest.removeSubrange(...end)
            note(log)
          }
          rest = rest.suffix(Self.lineBytesMax)
        }
        log.take(String(decoding: rest, as: UTF8.self))
        return log
      }
      let code: Int32 =
        switch result.terminationStatus {
        case .exited(let code): Int32(code)
        case .signaled(let signal): 128 + Int32(signal)
        }
      return (result.closureResult, code)
    } catch let error as SubprocessError where error.code == .executableNotFound {
      return (TunnelLog(), 127)
    } catch {
      logger.warning("cloudflared could not be run", metadata: ["error": "\(error)"])
      return (TunnelLog(), 1)
    }
  }

  private func note(_ log: TunnelLog) {
    state.withLock { state in
      state.phase = log.connections.isEmpty ? .starting : .up
      state.connections = log.connections.count
      state.failure = log.connections.isEmpty ? log.complaint(plan) : nil
    }
  }

  /// Nothing of the Connector's own: its proxies and secrets are not cloudflared's.
  private static let environment: [Environment.Key: String] = {
    let values = ["PATH": Tool.standardPath, "LC_ALL": "C", "HOME": "/nonexistent"]
    return Dictionary(
      uniqueKeysWithValues: values.compactMap { name, value in Environment.Key(rawValue: name).map { ($0, value) } })
  }()
}

/// What the cloudflareds of a Host may take.
enum TunnelLimits {
  /// For what is under way on one that is asked to end.
  static let endWithin = Duration.seconds(5)
}
