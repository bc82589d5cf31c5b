import Basics
import Foundation
import Link
import Logging
import NIOHTTP1

/// Instances as containers of the Docker Engine on this Host.
struct DockerBackend: RuntimeBackend {
  let kind = RuntimeKind.docker
  // The engine keeps every exit, so looking is as good as watching, and sees what was done behind our back.
  let watchIsComplete = false
  // A start that the Connector before this one asked for holds the port already; the engine waits for it, and says 304.
  let launchTellsPort = true
  let engine: DockerEngine
  /// `<data>/instances`.
  let root: String
  let clock: WallClock
  let timers: any Clock<Duration>
  let logger: Logger

  func availability() async -> RuntimeAvailability {
    do {
      let version = try await engine.askVersion()
      // The socket of an Instance is for a user that such an engine does not let a container be.
      return RuntimeAvailability(
        kind: kind, available: true,
        detail: "Docker Engine \(version.program) (\(engine.socket))" + (version.mapsUsers ? ", which maps users" : ""),
        resolvesSecrets: version.mapsUsers ? false : nil)
    } catch {
      let reason = AWError.wrapping(error, doing: "Asking the Docker Engine for its version")
      return RuntimeAvailability(kind: kind, available: false, detail: "\(reason.message) \(reason.next)")
    }
  }

  func check(_ spec: InstanceSpec) async throws {
    guard let reference = spec.image else { throw AWError.imageMissing(nil) }
    _ = try await doing("look for the image", spec.port ?? 0) { try await image(reference) }
  }

  func owner(for spec: InstanceSpec) async throws -> FileOwner? { geteuid() == 0 ? DockerPlan.imageUser : nil }

  /// The user inside the container: the image's own, unless the Connector cannot give it the directories.
  private var containerUser: FileOwner? {
    geteuid() == 0 || geteuid() == DockerPlan.imageUser.user ? nil : FileOwner(user: geteuid(), group: getegid())
  }

  // MARK: - Making

  func install(_ entry: InstanceShelf.Entry, running: Bool) async throws -> InstanceRecord {
    var entry = entry
    // What runs keeps its container; the next start makes it anew when it differs.
    if running, entry.record.image != nil { return entry.record }
    try await doing("prepare the container", entry.record.port) {
      let (pinned, image) = try await pin(entry.record)
      entry.record.image = pinned
      guard !running else { return }
      try await ensureNetwork(entry)
      entry.record.containerID = try await ensureContainer(entry, image)
    }
    return entry.record
  }

  /// The image of an Instance stays the one it was prepared with, also when its tag has moved on since.
  private func pin(_ record: InstanceRecord) async throws -> (InstanceRecord.Image, DockerPlan.Image) {
    guard let reference = record.spec.image else { throw AWError.imageMissing(nil) }
    if let pinned = record.image, pinned.reference == reference, let found = try await find(pinned.id) {
      return (pinned, found.plan)
    }
    let found = try await image(reference)
    return (InstanceRecord.Image(reference: reference, id: found.plan.id, digest: found.digest), found.plan)
  }

  private func image(_ reference: String) async throws -> (plan: DockerPlan.Image, digest: String) {
    guard let found = try await find(reference) else { throw AWError.imageMissing(reference) }
    return found
  }

  private func find(_ reference: String) async throws -> (plan: DockerPlan.Image, digest: String)? {
    let answer = try await engine.call(.GET, "/images/\(reference)/json")
    if answer.status == 404 { return nil }
    let value = try JSONValue(parsing: try answer.expect(200))
    guard let id = value["Id"]?.stringValue else { return nil }
    let digest = value["RepoDigests"]?[0]?.stringValue?.split(separator: "@").last.map(String.init)
    let hasCommand = value["Config"]?["Cmd"]?.arrayValue?.isEmpty == false
    return (DockerPlan.Image(id: id, hasCommand: hasCommand), digest ?? id)
  }

  private func ensureNetwork(_ entry: InstanceShelf.Entry) async throws {
    let name = DockerPlan.name(entry.record.spec.slug)
    let found = try await engine.call(.GET, "/networks/\(name)")
    if found.status == 200 {
      let labels = try JSONValue(parsing: found.body)["Labels"]
      guard labels?[DockerPlan.Label.instance]?.stringValue == entry.record.spec.instance.text else {
        throw foreign("network", name)
      }
      return
    }
    // 409: made meanwhile, by ourselves before a crash.
    try await engine.call(.POST, "/networks/create", body: DockerPlan.network(entry)).expect(201, 409)
  }

  /// The container that fits the record; others of this Instance go.
  private func ensureContainer(_ entry: InstanceShelf.Entry, _ image: DockerPlan.Image) async throws -> String {
    let body = DockerPlan.container(
      entry, image: image, environment: try entry.directory.loadEnvironment(), user: containerUser,
      processors: try await engine.version().processors, resolvesSecrets: entry.directory.resolvesSecrets)
    let wanted = body["Labels"]?[DockerPlan.Label.specDigest]
    var fitting: String?
    for container in try await containers(entry.record.spec.instance) {
      guard let id = container["Id"]?.stringValue else { continue }
      if fitting == nil, container["Labels"]?[DockerPlan.Label.specDigest] == wanted {
        fitting = id
      } else {
        try await removeContainer(id)
      }
    }
    if let fitting { return fitting }
    let name = DockerPlan.name(entry.record.spec.slug)
    let answer = try await engine.call(.POST, "/containers/create", query: ["name": name], body: body)
    if answer.status == 409 { throw foreign("container", name) }
    if answer.status == 404 { throw AWError.imageMissing(entry.record.spec.image) }
    guard let id = try JSONValue(parsing: try answer.expect(201))["Id"]?.stringValue else {
      throw DockerEngine.Refusal(status: answer.status, message: "a container without an id")
    }
    return id
  }

  private func foreign(_ what: String, _ name: String) -> AWError {
    AWError(
      .conflict, "The Docker Engine has a \(what) '\(name)' that is not this Instance's.",
      next: "Remove it on the Host, or choose another name for the Instance.")
  }

  // MARK: - Start and end

  func launch(_ entry: InstanceShelf.Entry) async throws -> RunHandle {
    guard let launch = entry.record.launch else { throw AWError.notPrepared(entry.record.spec.instance.text) }
    let record = try await install(entry, running: false)
    return try await doing("start the container", record.port) {
      let id = record.containerID ?? ""
      // 304: it runs already.
      try await engine.call(.POST, "/containers/\(id)/start").expect(204, 304)
      let started = try JSONValue(parsing: try await engine.call(.GET, "/containers/\(id)/json").expect(200))
      // One that ended at once is handed over all the same: the wait for its end tells how.
      return RunHandle(
        launch: launch.id, containerID: id,
        startedAt: DockerEngine.timestamp(started["State"]?["StartedAt"]?.stringValue) ?? launch.at)
    }
  }

  func observe(_ entry: InstanceShelf.Entry) async throws -> Observation {
    try await doing("inspect the container", entry.record.port) {
      for container in try await containers(entry.record.spec.instance) {
        guard let id = container["Id"]?.stringValue else { continue }
        let answer = try await engine.call(.GET, "/containers/\(id)/json")
        if answer.status == 404 { continue }
        return DockerPlan.observation(
          try JSONValue(parsing: try answer.expect(200)), launch: entry.record.launch?.id)
      }
      return .absent
    }
  }

  func exit(of handle: RunHandle, _ entry: InstanceShelf.Entry) async -> InstanceExit? {
    guard let id = handle.containerID else { return nil }
    while !Task.isCancelled {
      do {
        let answer = try await engine.call(.GET, "/containers/\(id)/json")
        if answer.status == 404 { return InstanceExit(code: nil, at: clock.now, ranMilliseconds: 0) }
        let container = try JSONValue(parsing: try answer.expect(200))
        if case .ended(let exit) = DockerPlan.observation(container, launch: handle.launch) { return exit }
        // The client gives a silent answer up after 90 s; then the loop looks again and waits again.
        _ = try await engine.call(
          .POST, "/containers/\(id)/wait", query: ["condition": "not-running"], timeMax: .seconds(86_400))
      } catch {
        logger.debug("waiting for a container goes on", metadata: ["container": "\(id)", "reason": "\(error)"])
        guard (try? await timers.sleep(for: .seconds(1))) != nil else { return nil }
      }
    }
    return nil
  }

  func signal(_ handle: RunHandle, force: Bool) async {
    guard let id = handle.containerID else { return }
    do {
      // 404 and 409: it has gone or ended already.
      try await engine.call(.POST, "/containers/\(id)/kill", query: ["signal": force ? "SIGKILL" : "SIGTERM"])
        .expect(204, 404, 409)
    } catch {
      logger.warning("a container could not be signalled", metadata: ["container": "\(id)", "reason": "\(error)"])
    }
  }

  // MARK: - Removing

  func uninstall(_ entry: InstanceShelf.Entry, purge: Bool) async throws {
    try await removeUnrecorded(entry.record.spec.instance)
  }

  func removeUnrecorded(_ instance: InstanceID) async throws {
    // A Host without Docker holds nothing of Docker's.
    guard access(engine.socket, F_OK) == 0 else { return }
    try await doing("remove the container", 0) {
      for container in try await containers(instance) {
        if let id = container["Id"]?.stringValue { try await removeContainer(id) }
      }
      let filters = JSONValue.object(["label": [.string("\(DockerPlan.Label.instance)=\(instance.text)")]])
      let networks = try await engine.call(.GET, "/networks", query: ["filters": filters.canonical]).expect(200)
      for network in try JSONValue(parsing: networks).arrayValue ?? [] {
        guard let id = network["Id"]?.stringValue else { continue }
        try await engine.call(.DELETE, "/networks/\(id)").expect(204, 404)
      }
    }
  }

  private func removeContainer(_ id: String) async throws {
    // 409: its removal is under way.
    try await engine.call(.DELETE, "/containers/\(id)", query: ["force": "true", "v": "true"]).expect(204, 404, 409)
  }

  func unrecorded() async throws -> [InstanceID] {
    guard access(engine.socket, F_OK) == 0 else { return [] }
    return try await doing("list the containers", 0) {
      try await containers(nil).compactMap { container in
        guard let labels = container["Labels"],
          labels[DockerPlan.Label.directory]?.stringValue?.hasPrefix(root + "/") == true
        else { return nil }
        return labels[DockerPlan.Label.instance]?.stringValue.flatMap { InstanceID($0) }
      }
    }
  }

  /// The containers of one Instance, or of all, running or not.
  private func containers(_ instance: InstanceID?) async throws -> [JSONValue] {
    let label = DockerPlan.Label.instance + (instance.map { "=" + $0.text } ?? "")
    let filters = JSONValue.object(["label": [.string(label)]])
    let answer = try await engine.call(
      .GET, "/containers/json", query: ["all": "true", "filters": filters.canonical])
    return try JSONValue(parsing: try answer.expect(200)).arrayValue ?? []
  }

  // MARK: - While it runs

  func output(_ entry: InstanceShelf.Entry, lines: Int) async throws -> [String] {
    try await doing("read the output", entry.record.port) {
      guard let id = try await containers(entry.record.spec.instance).first?["Id"]?.stringValue else { return [] }
      let answer = try await engine.call(
        .GET, "/containers/\(id)/logs", query: ["stdout": "true", "stderr": "true", "tail": String(lines)])
      return OutputLog.split(DockerPlan.text(ofFrames: try answer.expect(200)), whole: true).suffix(lines)
    }
  }

  func approve(_ entry: InstanceShelf.Entry, request: String) async throws {
    let (code, output) = try await doing("run a command in the container", entry.record.port) {
      let id = entry.record.containerID ?? ""
      let body: JSONValue = [
        "AttachStdout": true, "AttachStderr": true, "Tty": false,
        "Cmd": ["openclaw", "devices", "approve", .string(request), "--json"],
      ]
      let made = try await engine.call(.POST, "/containers/\(id)/exec", body: body).expect(201)
      guard let exec = try JSONValue(parsing: made)["Id"]?.stringValue else { return (Int32(-1), "") }
      // Without an upgrade the engine answers 200 and closes when the command has ended.
      let answer = try await engine.call(
        .POST, "/exec/\(exec)/start", body: ["Detach": false, "Tty": false], timeMax: RuntimeLimits.toolTimeMax)
      let printed = String(decoding: DockerPlan.text(ofFrames: try answer.expect(200)), as: UTF8.self)
      let ended = try JSONValue(parsing: try await engine.call(.GET, "/exec/\(exec)/json").expect(200))
      return (ended["ExitCode"]?.intValue.flatMap { Int32(exactly: $0) } ?? -1, printed)
    }
    guard code == 0 else {
      let redaction = Redaction(try entry.directory.loadEnvironment())
      throw AWError.approvalFailed(code: code, output: redaction.apply(output))
    }
  }

  func housekeep(_ entry: InstanceShelf.Entry) async {
    // The engine turns the container's log over itself (`LogConfig`).
  }

  /// Turns the engine's refusals into what they mean for the Instance.
  private func doing<Value>(_ what: String, _ port: Int, _ body: () async throws -> Value) async throws -> Value {
    do {
      return try await body()
    } catch let refusal as DockerEngine.Refusal {
      throw AWError.engine(refusal, doing: what, port: port)
    }
  }
}
