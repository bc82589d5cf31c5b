import Basics
import Link

/// A running Instance, as its runtime holds it.
struct RunHandle: Sendable, Equatable {
  /// The id of the start it came from (`InstanceRecord.Launch.id`).
  var launch: String
  var processID: Int32?
  var startTicks: UInt64?
  var containerID: String?
  var startedAt: Timestamp?
}

/// What a look at the Host found.
enum Observation: Sendable, Equatable {
  case absent
  case running(RunHandle)
  case ended(InstanceExit)
}

/// What one runtime does itself; `InstanceKeeper` does the rest: records, ports, supervision, order.
///
/// Every method is idempotent and may be called again after a crash at any point.
protocol RuntimeBackend: Sendable {
  var kind: RuntimeKind { get }

  /// True when `exit(of:)` cannot miss an end, and is the only one that may learn the exit code: then a running
  /// Instance is not looked at beside it.
  var watchIsComplete: Bool { get }

  /// True when `launch(_:)` itself tells that the port is taken, and by nobody's earlier start of the same Instance:
  /// then the port is not tried before it.
  var launchTellsPort: Bool { get }

  func availability() async -> RuntimeAvailability

  /// Throws what `prepare` must answer when the runtime cannot be used at all. Nothing exists yet.
  func check(_ spec: InstanceSpec) async throws

  /// Whose the state and key directories are; nil leaves them to the Connector's own user.
  func owner(for spec: InstanceSpec) async throws -> FileOwner?

  /// Makes what must be there before a start. With `running` nothing that runs is touched.
  func install(_ entry: InstanceShelf.Entry, running: Bool) async throws -> InstanceRecord

  /// Starts it. `record.launch` is on disk already; one that runs for this launch is returned as it is.
  func launch(_ entry: InstanceShelf.Entry) async throws -> RunHandle

  func observe(_ entry: InstanceShelf.Entry) async throws -> Observation

  /// Waits until it has ended, and clears away what it left running. Nil when the waiting task was cancelled.
  func exit(of handle: RunHandle, _ entry: InstanceShelf.Entry) async -> InstanceExit?

  /// SIGTERM, or SIGKILL with `force`, to all of it.
  func signal(_ handle: RunHandle, force: Bool) async

  /// Removes all but the Instance's directory.
  func uninstall(_ entry: InstanceShelf.Entry, purge: Bool) async throws

  /// Instances that are there without a record in the data directory.
  func unrecorded() async throws -> [InstanceID]
  func removeUnrecorded(_ instance: InstanceID) async throws

  /// The last lines of output, oldest first, as printed.
  func output(_ entry: InstanceShelf.Entry, lines: Int) async throws -> [String]

  func approve(_ entry: InstanceShelf.Entry, request: String) async throws

  /// Called now and then while it runs.
  func housekeep(_ entry: InstanceShelf.Entry) async throws
}
