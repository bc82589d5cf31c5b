import Basics
import Crypto
import Foundation
import Link
import Logging

/// Keeps the Instances of one runtime: their records, their supervision, and the order of what is done to each.
///
/// The decisions are `Supervisor`'s; the doing is a `RuntimeBackend`'s. Acts on one Instance (prepare, start, stop,
/// remove) follow one another; what happens on its own (an exit, a back-off) goes through the machine at any time.
actor InstanceKeeper {
  struct Kept {
    var entry: InstanceShelf.Entry
    var supervisor = Supervisor()
    var handle: RunHandle?
    /// Did not end within `killGrace` of SIGKILL.
    var stuck = false
    /// Its configuration is no longer the one that AW wrote or accepted.
    var drifted = false
    /// What is not as its specification has it: pinned paths of its configuration, and `policy.jsonc`.
    var departures: [String] = []
    var timer: Task<Void, Never>?
    var watch: Task<Void, Never>?
  }

  let backend: any RuntimeBackend
  let shelf: InstanceShelf
  let policy: RuntimePolicy
  let clock: WallClock
  let timers: any Clock<Duration>
  let logger: Logger
  /// Where the Instances ask for their secrets; nil when this Host resolves none.
  let desk: SecretDesk?

  var kept: [InstanceID: Kept] = [:]
  private var busy: Set<InstanceID> = []
  private var queues: [InstanceID: [CheckedContinuation<Void, Never>]] = [:]
  private var observers: [InstanceID: [UUID: AsyncStream<Void>.Continuation]] = [:]
  private var resumption: Task<Void, any Error>?
  private var resumed = false
  private var resumeAgain: Task<Void, Never>?
  private var housekeeping: Task<Void, Never>?

  init(
    backend: any RuntimeBackend, dataDirectory: String, policy: RuntimePolicy, clock: WallClock,
    timers: any Clock<Duration>, secrets: SecretSource? = nil, logger: Logger
  ) {
    self.backend = backend
    self.shelf = InstanceShelf(dataDirectory: dataDirectory, ports: policy.ports)
    self.policy = policy
    self.clock = clock
    self.timers = timers
    self.logger = logger
    desk = secrets.map { SecretDesk(broker: $0.broker, program: $0.program, logger: logger) }
  }

  deinit {
    for item in kept.values {
      item.timer?.cancel()
      item.watch?.cancel()
    }
    resumeAgain?.cancel()
    housekeeping?.cancel()
  }

  // MARK: - Order

  /// Runs `body` once every earlier act on this Instance is done.
  func exclusively<Value>(_ instance: InstanceID, _ body: () async throws -> Value) async throws -> Value {
    if busy.contains(instance) {
      await withCheckedContinuation { queues[instance, default: []].append($0) }
    } else {
      busy.insert(instance)
    }
    defer { passOn(instance) }
    return try await body()
  }

  private func passOn(_ instance: InstanceID) {
    guard var queue = queues[instance], !queue.isEmpty else {
      queues[instance] = nil
      busy.remove(instance)
      return
    }
    let next = queue.removeFirst()
    queues[instance] = queue
    next.resume()
  }

  // MARK: - Waiting

  /// Waits until `condition` holds of the Instance; throws `CancellationError` when the task is cancelled first.
  func until(_ instance: InstanceID, _ condition: (Kept?) -> Bool) async throws {
    let (changes, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let key = UUID()
    observers[instance, default: [:]][key] = continuation
    defer { observers[instance]?[key] = nil }
    if condition(kept[instance]) { return }
    for await _ in changes where condition(kept[instance]) { return }
    throw CancellationError()
  }

  func changed(_ instance: InstanceID) {
    for observer in (observers[instance] ?? [:]).values { observer.yield() }
  }

  // MARK: - Beginning

  /// Takes up what an earlier Connector left: adopts what runs, ends what shall not, starts what should.
  func resume() async throws {
    if resumed { return }
    let task = resumption ?? Task { try await self.takeUp() }
    resumption = task
    do {
      try await task.value
      resumed = true
    } catch {
      if resumption == task {
        resumption = nil
        tryAgainLater()
      }
      throw error
    }
  }

  /// A runtime that starts after the Connector (Docker after a reboot) must not need a call to be taken up.
  private func tryAgainLater() {
    guard resumeAgain == nil else { return }
    let delay = policy.backoffMax
    resumeAgain = Task { [weak self, timers] in
      guard (try? await timers.sleep(for: delay)) != nil else { return }
      await self?.resumeOnceMore()
    }
  }

  private func resumeOnceMore() async {
    resumeAgain = nil
    do {
      try await resume()
    } catch {
      logger.debug("the runtime cannot be taken up yet", metadata: ["reason": "\(error)"])
    }
  }

  private func takeUp() async throws {
    let (entries, damaged) = try shelf.read()
    for error in damaged { logger.error("an Instance's record is unreadable", metadata: ["reason": "\(error)"]) }
    var found: [(InstanceShelf.Entry, Observation)] = []
    for entry in entries where entry.record.spec.runtime == backend.kind {
      found.append((entry, entry.record.installed ? try await backend.observe(entry) : .absent))
    }
    for (entry, observation) in found { await takeUp(entry, observation) }
    housekeeping = Task { [weak self, timers] in
      while (try? await timers.sleep(for: RuntimeLimits.housekeepingInterval)) != nil {
        await self?.housekeep()
      }
    }
  }

  private func takeUp(_ entry: InstanceShelf.Entry, _ observation: Observation) async {
    var entry = entry
    var handle: RunHandle?
    switch observation {
    case .running(let running): handle = running
    case .ended(let exit): note(exit, in: &entry.record)
    case .absent: entry.record.launch = nil
    }
    let (supervisor, action) = Supervisor.resuming(
      wanted: entry.record.installed && entry.record.desired == .running, running: handle != nil,
      lastCode: entry.record.lastExit?.code)
    let instance = entry.record.spec.instance
    kept[instance] = Kept(entry: entry, supervisor: supervisor, handle: handle)
    saveQuietly(instance)
    await openDesk(entry)
    if let handle { watch(instance, handle) }
    await perform(action, instance)
  }

  /// An Instance that cannot ask for its secrets is taken up all the same: it may run already.
  private func openDesk(_ entry: InstanceShelf.Entry) async {
    guard let desk, entry.record.installed else { return }
    do {
      // Whose it is was settled when it was prepared.
      let owner = DurableFile.owner(of: entry.directory.state).flatMap { $0.user == geteuid() ? nil : $0 }
      try await desk.open(entry.record.spec, entry.directory, owner: owner)
    } catch {
      logger.error(
        "an Instance's secrets cannot be asked for",
        metadata: ["instance": "\(entry.record.spec.instance)", "reason": "\(error)"])
    }
  }

  /// An exit that is newer than the last start is news; an older one belongs to a start that was to be forgotten.
  private func note(_ exit: InstanceExit, in record: inout InstanceRecord) {
    if let launch = record.launch, exit.at < launch.at { return }
    record.lastExit = exit
    record.launch = nil
  }

  // MARK: - Ending

  /// See `InstanceRuntime.halt`. Supervision is told to stop each; the records keep what is wanted.
  func halt() async {
    resumeAgain?.cancel()
    await withTaskGroup(of: Void.self) { group in
      for instance in kept.keys {
        group.addTask {
          do {
            try await self.exclusively(instance) { try await self.end(instance) }
          } catch {
            self.logger.error(
              "an Instance did not end", metadata: ["instance": "\(instance)", "reason": "\(error)"])
          }
        }
      }
    }
  }

  private func housekeep() async {
    for item in kept.values where item.handle != nil {
      do {
        let bytes = try DurableFile.read(item.entry.directory.configuration)
        let instance = item.entry.record.spec.instance
        // What was accepted while the file was read is in the newer record.
        if let record = kept[instance]?.entry.record {
          kept[instance]?.drifted = record.hasDrifted(found: bytes.map { SHA256.hex($0) })
          kept[instance]?.departures = try item.entry.directory.departures(bytes ?? [], from: record.spec)
        }
        try await backend.housekeep(item.entry)
      } catch {
        // Tried again at the next turn.
        logger.warning(
          "an Instance's files could not be looked after", metadata: ["reason": "\(error)"])
      }
    }
  }

  func saveQuietly(_ instance: InstanceID) {
    guard let item = kept[instance] else { return }
    do {
      try item.entry.directory.save(item.entry.record)
    } catch {
      logger.error(
        "an Instance's record could not be written",
        metadata: ["instance": "\(instance)", "reason": "\(error)"])
    }
  }
}
