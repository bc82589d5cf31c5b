import Basics
import Foundation
import Link
import OpenClaw

/// Instances as processes of this Host.
struct ProcessBackend: RuntimeBackend {
  /// The names of the variables by which a process is known as an Instance's.
  enum Marker {
    static let instance = "AW_INSTANCE_ID"
    static let launch = "AW_INSTANCE_LAUNCH"
    /// Tells the Instances of this Connector from those of another on the same Host.
    static let directory = "AW_INSTANCE_DIRECTORY"
  }

  let kind = RuntimeKind.process
  let watchIsComplete = true
  let launchTellsPort = false
  let program: String?
  let programArguments: [String]
  let ownUser: Bool
  let searchPath: String
  let clock: WallClock
  let timers: any Clock<Duration>

  // MARK: - Program

  private func findProgram() throws -> String {
    let name = program ?? "openclaw"
    guard let found = Tool.find(name, path: searchPath) else { throw AWError.programMissing(name) }
    return found
  }

  func availability() async -> RuntimeAvailability {
    do {
      let found = try findProgram()
      let answer = try await Tool.run(
        found, programArguments + ["--version"], environment: baseEnvironment(),
        timeMax: RuntimeLimits.versionTimeMax)
      guard answer.code == 0 else {
        return RuntimeAvailability(
          kind: kind, available: false, detail: "\(found) --version ends with exit code \(answer.code).")
      }
      let version = answer.output.split(separator: "\n").first.map { String($0.prefix(120)) } ?? "no version told"
      return RuntimeAvailability(
        kind: kind, available: true, detail: "\(version) (\(found))",
        openClaw: version.split(separator: " ").first { $0.first?.isNumber == true }.map(String.init))
    } catch {
      let reason = AWError.wrapping(error, doing: "Asking OpenClaw for its version")
      return RuntimeAvailability(kind: kind, available: false, detail: "\(reason.message) \(reason.next)")
    }
  }

  func check(_ spec: InstanceSpec) async throws { _ = try findProgram() }

  // MARK: - Files and user

  func owner(for spec: InstanceSpec) async throws -> FileOwner? {
    guard ownUser else { return nil }
    return try await InstanceUser(spec.instance).make()
  }

  func install(_ entry: InstanceShelf.Entry, running: Bool) async throws -> InstanceRecord { entry.record }

  func uninstall(_ entry: InstanceShelf.Entry, purge: Bool) async throws {
    await endAll(entry) { _ in true }
    // Also when this Connector runs without the option: an earlier one may have made the user.
    if purge, geteuid() == 0 { try await InstanceUser(entry.record.spec.instance).remove() }
  }

  // Processes carry their directory, so each one that is ours has its record; there is nothing beside them.
  func unrecorded() async throws -> [InstanceID] { [] }
  func removeUnrecorded(_ instance: InstanceID) async throws {}

  // MARK: - Start and end

  func launch(_ entry: InstanceShelf.Entry) async throws -> RunHandle {
    guard let launch = entry.record.launch else { throw AWError.notPrepared(entry.record.spec.instance.text) }
    // Whatever an earlier start left behind would hold the port and the state directory's lock.
    await endAll(entry) { $0[Marker.launch] != launch.id }
    try OutputLog.rotate(entry.directory.output)
    var environment = try self.environment(entry)
    environment[Marker.instance] = Secret(entry.record.spec.instance.text)
    environment[Marker.launch] = Secret(launch.id)
    environment[Marker.directory] = Secret(entry.directory.path)
    let command = try await command(entry, ["gateway", "--port", String(entry.record.port), "--bind", "loopback"])
    let process = try Spawn.start(
      .init(
        program: command.program, arguments: command.arguments, environment: environment,
        directory: entry.directory.state, output: entry.directory.output))
    // A child stays in the table until it is collected, so even one that ended at once is found here.
    return RunHandle(
      launch: launch.id, processID: process, startTicks: ProcessTable.entry(process)?.startTicks ?? 0,
      startedAt: launch.at)
  }

  private func command(
    _ entry: InstanceShelf.Entry, _ arguments: [String]
  ) async throws -> (program: String, arguments: [String]) {
    let program = try findProgram()
    guard ownUser else { return (program, programArguments + arguments) }
    let prefix = try await InstanceUser(entry.record.spec.instance).prefix()
    return (prefix[0], prefix.dropFirst() + [program] + programArguments + arguments)
  }

  private func baseEnvironment() -> [String: Secret] {
    // The Connector's own variables are not passed on: they may hold what is no Instance's business.
    var values = ["PATH": Secret(searchPath)]
    for name in ["LANG", "TZ"] {
      if let value = ProcessInfo.processInfo.environment[name] { values[name] = Secret(value) }
    }
    return values
  }

  private func environment(_ entry: InstanceShelf.Entry) throws -> [String: Secret] {
    let directory = entry.directory
    var own = [
      "HOME": directory.home,
      "OPENCLAW_HOME": directory.home,
      "OPENCLAW_STATE_DIR": directory.state,
      "OPENCLAW_CONFIG_PATH": directory.configuration,
      "OPENCLAW_GATEWAY_PORT": String(entry.record.port),
      "OPENCLAW_NO_RESPAWN": "1",
      "OPENCLAW_SUPERVISOR_MODE": "external",
      "OPENCLAW_DISABLE_BONJOUR": "1",
      "OPENCLAW_NO_AUTO_UPDATE": "1",
    ]
    if directory.resolvesSecrets { own[InstanceConfiguration.secretsVariable] = directory.secrets }
    return baseEnvironment()
      .merging(try directory.loadEnvironment()) { _, given in given }
      .merging(own.mapValues { Secret($0) }) { _, ours in ours }
  }

  func observe(_ entry: InstanceShelf.Entry) async throws -> Observation {
    guard let launch = entry.record.launch else { return .absent }
    if launch.boot == ProcessTable.bootID() {
      if let process = launch.processID, let ticks = launch.startTicks,
        ProcessTable.live(process, startTicks: ticks) != nil
      {
        return .running(handle(launch, process, ticks))
      }
      // The Connector may have died between making the process and writing its id down.
      let stray = marked(entry).first { $0.environment[Marker.launch] == launch.id && $0.entry.session == $0.entry.id }
      if let stray { return .running(handle(launch, stray.entry.id, stray.entry.startTicks)) }
    }
    let code = launch.processID.flatMap { Spawn.collect($0) }
    return .ended(InstanceExit(code: code, at: clock.now, ranMilliseconds: 0))
  }

  private func handle(_ launch: InstanceRecord.Launch, _ process: Int32, _ ticks: UInt64) -> RunHandle {
    RunHandle(launch: launch.id, processID: process, startTicks: ticks, startedAt: launch.at)
  }

  func exit(of handle: RunHandle, _ entry: InstanceShelf.Entry) async -> InstanceExit? {
    guard let process = handle.processID, let ticks = handle.startTicks,
      await Spawn.waitForEnd(process, startTicks: ticks, timers: timers)
    else { return nil }
    let ran = ProcessTable.age(startTicks: ticks)
    // Before the child is collected: until then nobody else can get its id, and so its group's.
    endSession(process, ticks)
    let code = Spawn.collect(process)
    await endAll(entry) { $0[Marker.launch] == handle.launch }
    return InstanceExit(code: code, at: clock.now, ranMilliseconds: ran.milliseconds)
  }

  func signal(_ handle: RunHandle, force: Bool) async {
    guard let process = handle.processID, let ticks = handle.startTicks,
      ProcessTable.live(process, startTicks: ticks) != nil
    else { return }
    kill(-process, force ? SIGKILL : SIGTERM)
  }

  /// Kills what the ended leader left in its session.
  private func endSession(_ leader: Int32, _ ticks: UInt64) {
    // An id is not given out again while a session carries it: another process with it means that nothing is left.
    if let now = ProcessTable.entry(leader), now.startTicks != ticks { return }
    for entry in ProcessTable.all() where entry.session == leader && entry.id != leader { kill(entry.id, SIGKILL) }
  }

  private func marked(_ entry: InstanceShelf.Entry) -> [(entry: ProcessTable.Entry, environment: [String: String])] {
    ProcessTable.all().compactMap { process in
      guard !process.isDead, let environment = ProcessTable.environment(process.id),
        environment[Marker.instance] == entry.record.spec.instance.text,
        environment[Marker.directory] == entry.directory.path
      else { return nil }
      return (process, environment)
    }
  }

  /// Kills the Instance's processes whose variables match, also those that left its session, and waits for their end.
  private func endAll(_ entry: InstanceShelf.Entry, where matches: ([String: String]) -> Bool) async {
    let found = marked(entry).filter { matches($0.environment) }.map(\.entry)
    guard !found.isEmpty else { return }
    for process in found { kill(process.id, SIGKILL) }
    await withTaskGroup(of: Void.self) { group in
      group.addTask { [timers] in
        for process in found {
          _ = await Spawn.waitForEnd(process.id, startTicks: process.startTicks, timers: timers)
        }
      }
      // One in uninterruptible sleep must not hold up the rest; the start then says what it collides with.
      group.addTask { [timers] in try? await timers.sleep(for: RuntimeLimits.killGrace) }
      await group.next()
      group.cancelAll()
    }
  }

  // MARK: - While it runs

  func output(_ entry: InstanceShelf.Entry, lines: Int) async throws -> [String] {
    try OutputLog.tail(entry.directory.output, lines: lines)
  }

  func approve(_ entry: InstanceShelf.Entry, request: String) async throws {
    let command = try await command(entry, ["devices", "approve", request, "--json"])
    let environment = try self.environment(entry)
    let answer = try await Tool.run(
      command.program, command.arguments, environment: environment, timeMax: RuntimeLimits.toolTimeMax)
    guard answer.code == 0 else {
      throw AWError.approvalFailed(code: answer.code, output: Redaction(environment).apply(answer.error))
    }
  }

  func housekeep(_ entry: InstanceShelf.Entry) async throws { try OutputLog.rotate(entry.directory.output) }
}

extension AWError {
  /// What OpenClaw printed, without the Instance's secrets; for the log.
  struct ToolOutput: Error, CustomStringConvertible {
    var text: String
    var description: String { text.suffix(2_000).trimmingCharacters(in: .whitespacesAndNewlines) }
  }

  static func approvalFailed(code: Int32, output: String) -> AWError {
    AWError(
      .runtimeFailed, "OpenClaw did not approve the device: 'openclaw devices approve' ended with exit code \(code).",
      next: "The request may have expired; connect again to get a new one. The Connector's log has OpenClaw's words.",
      cause: ToolOutput(text: output))
  }
}
