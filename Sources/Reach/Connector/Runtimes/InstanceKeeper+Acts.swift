import Basics
import Foundation
import Link
import Logging

/// The calls of `InstanceRuntime`, the same for every runtime.
extension InstanceKeeper {
  func prepare(_ spec: InstanceSpec, environment: [String: Secret]) async throws -> RunState {
    guard spec.runtime == backend.kind else {
      throw AWError.spec(
        "The Instance '\(spec.slug)' asks for the runtime '\(spec.runtime.rawValue)'.",
        next: "Send it to that runtime; this is '\(backend.kind.rawValue)'.")
    }
    try EnvironmentFile.check(environment)
    try await resume()
    return try await exclusively(spec.instance) {
      try await backend.check(spec)
      try await reconcile(spec.instance)
      let running = kept[spec.instance]?.handle != nil
      // Read again after the claim: what happens on its own may have changed the record meanwhile.
      let claimed = try shelf.claim(spec, running: running)
      adopt(claimed)
      let owner = try await backend.owner(for: spec)
      if owner != nil { try shelf.letPass() }
      let directory = claimed.directory
      try directory.make(owner: owner)
      try directory.save(environment: environment)
      try await desk?.open(spec, directory, owner: owner)
      let digest = try directory.save(
        configuration: spec.configuration, pinned: spec.pinned ?? [:],
        recorded: claimed.record.configurationDigest, owner: owner)
      try update(spec.instance) { $0.configurationDigest = digest }
      if let policy = spec.policy { try directory.save(policy: policy, owner: owner) }
      kept[spec.instance]?.departures = []
      if let entry = kept[spec.instance]?.entry {
        let installed = try await backend.install(entry, running: running)
        try update(spec.instance) {
          $0.image = installed.image
          $0.containerID = installed.containerID
        }
      }
      await desk?.warm(spec)
      return state(spec.instance)
    }
  }

  func start(_ instance: InstanceID) async throws -> RunState {
    try await resume()
    return try await exclusively(instance) {
      try await reconcile(instance)
      guard let item = kept[instance], item.entry.record.installed else { throw AWError.notPrepared(instance.text) }
      if item.handle == nil, !backend.launchTellsPort, !PortAllocator.canListen(item.entry.record.port) {
        let holder = try shelf.read().entries.first {
          $0.record.spec.instance != instance && $0.record.installed && $0.record.port == item.entry.record.port
        }
        throw AWError.portTaken(item.entry.record.port, by: holder?.record.spec.slug.text)
      }
      let before = item.entry.record
      let configuration = try item.entry.directory.configurationNow()
      kept[instance]?.drifted = false
      try update(instance) {
        $0.desired = .running
        $0.acceptedConfiguration = configuration
        if item.handle == nil { $0.lastExit = nil }
      }
      do {
        try await feed(.startRequested, to: instance)
      } catch {
        try update(instance) { $0.desired = before.desired }
        throw error
      }
      return state(instance)
    }
  }

  func stop(_ instance: InstanceID) async throws -> RunState {
    try await resume()
    return try await exclusively(instance) {
      try await reconcile(instance)
      guard kept[instance]?.entry.record.installed == true else { throw AWError.notPrepared(instance.text) }
      // A full disk must not keep an Instance running: it is stopped first, and the failure is told afterwards.
      let saved = Result { try update(instance) { $0.desired = .stopped } }
      try await end(instance)
      try saved.get()
      return state(instance)
    }
  }

  /// Stops it and waits for its end.
  func end(_ instance: InstanceID) async throws {
    try await feed(.stopRequested, to: instance)
    try await until(instance) { $0.map { $0.supervisor.isIdle || $0.stuck } ?? true }
    if kept[instance]?.stuck == true {
      throw AWError(
        .runtimeFailed, "The Instance did not end, not even \(RuntimeLimits.killGrace.seconds) s after SIGKILL.",
        next: "Look on the Host for a process in uninterruptible sleep (state D): a disk or mount hangs.")
    }
  }

  func inspect(_ instance: InstanceID) async throws -> RunState {
    try await resume()
    try await reconcile(instance)
    return state(instance)
  }

  func remove(_ instance: InstanceID, purge: Bool) async throws -> RunState {
    try await resume()
    return try await exclusively(instance) {
      guard kept[instance] != nil else {
        try await backend.removeUnrecorded(instance)
        return RunState(phase: .absent)
      }
      try await reconcile(instance)
      let saved = Result { try update(instance) { $0.desired = .stopped } }
      try await end(instance)
      guard let entry = kept[instance]?.entry else { return RunState(phase: .absent) }
      try await backend.uninstall(entry, purge: purge)
      try await desk?.close(instance, entry.directory)
      if purge {
        try DurableFile.remove(entry.directory.path)
        kept[instance] = nil
      } else {
        try saved.get()
        try DurableFile.remove(entry.directory.environment)
        try update(instance) {
          $0.installed = false
          $0.containerID = nil
          $0.launch = nil
        }
      }
      return state(instance)
    }
  }

  /// The last lines of output, with the Instance's own secrets blotted out.
  func logs(_ instance: InstanceID, lines: Int) async throws -> [String] {
    try await resume()
    guard let entry = kept[instance]?.entry else { throw AWError.notPrepared(instance.text) }
    guard lines > 0 else { return [] }
    let printed = try await backend.output(entry, lines: min(lines, RuntimeLimits.outputLinesMax))
    let redaction = Redaction(try entry.directory.loadEnvironment())
    return printed.map(redaction.apply)
  }

  func approveDevice(_ instance: InstanceID, request: String) async throws {
    guard request.wholeMatch(of: /[A-Za-z0-9][A-Za-z0-9_.:\-]{0,127}/) != nil else {
      throw AWError.spec("The pairing request \(request.quoted) is no request id.", next: "Use the id as it was told.")
    }
    try await resume()
    try await reconcile(instance)
    guard let item = kept[instance], item.entry.record.installed else { throw AWError.notPrepared(instance.text) }
    let ended = AWError(
      .runtimeExited, "The Instance '\(item.entry.record.spec.slug)' does not run.", next: "Start it, then try again.")
    guard let handle = item.handle else { throw ended }
    do {
      try await backend.approve(item.entry, request: request)
    } catch {
      // An Instance that ended meanwhile took the approval with it: that is what there is to say, and it can be tried
      // again, however the runtime words it.
      try await reconcile(instance)
      guard kept[instance]?.handle?.launch == handle.launch else { throw ended }
      throw error
    }
  }

  func instances() async throws -> [InstanceID] {
    try await resume()
    let recorded = kept.values.filter { $0.entry.record.installed }.map { $0.entry.record.spec.instance }
    return Set(recorded).union(try await backend.unrecorded()).sorted()
  }

  func states() async throws -> [InstanceID: RunState] {
    try await resume()
    return Dictionary(kept.keys.map { ($0, state($0)) }) { first, _ in first }
  }

  // MARK: - Records and states

  /// Takes a claimed record in, keeping what supervision knows.
  private func adopt(_ entry: InstanceShelf.Entry) {
    let instance = entry.record.spec.instance
    if kept[instance] == nil {
      kept[instance] = Kept(entry: entry)
    } else {
      kept[instance]?.entry = entry
    }
  }

  /// Changes the record, on disk and then in memory; what is written already is not written again.
  private func update(_ instance: InstanceID, _ change: (inout InstanceRecord) -> Void) throws {
    guard let item = kept[instance] else { return }
    var record = item.entry.record
    change(&record)
    guard record != item.entry.record else { return }
    try item.entry.directory.save(record)
    kept[instance]?.entry.record = record
  }

  func state(_ instance: InstanceID) -> RunState {
    guard let item = kept[instance] else { return RunState(phase: .absent) }
    let record = item.entry.record
    guard record.installed else { return RunState(phase: .absent, dataDirectory: item.entry.directory.path) }
    let phase: RunState.Phase =
      switch item.supervisor.state {
      case .stopped, .starting, .cancelling: .stopped
      case .running, .stopping: .running
      case .waiting, .held: .exited
      }
    return RunState(
      phase: phase, port: record.port, processID: item.handle?.processID, containerID: record.containerID,
      imageDigest: record.image?.digest, startedAt: item.handle?.startedAt,
      exitCode: phase == .exited ? record.lastExit?.code : nil,
      outOfMemory: phase == .running ? false : record.lastExit?.outOfMemory ?? false, restarts: record.restarts,
      dataDirectory: item.entry.directory.path, configurationDrifted: item.drifted ? true : nil,
      departures: item.departures.isEmpty ? nil : item.departures)
  }
}

/// Blots the values of an environment out of text.
struct Redaction: Sendable {
  private let secrets: [Secret]

  init(_ environment: [String: Secret]) {
    secrets = environment.values.filter { value in
      value.withText { $0.count >= RuntimeLimits.redactedCharactersMin }
    }
  }

  func apply(_ line: String) -> String {
    secrets.reduce(line) { text, secret in secret.withText { text.replacing($0, with: "<secret>") } }
  }
}
