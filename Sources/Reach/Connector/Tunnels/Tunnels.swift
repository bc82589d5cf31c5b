import Basics
import Foundation
import Link
import Logging

/// The cloudflareds of this Host. What each serves is kept on the disk, so that the next Connector goes on with it.
///
/// Each has a folder (0700) with `config.yml`, `credentials.json` (0600) and `plan.json`.
public actor Tunnels {
  /// Which one: of an Instance, and of one of its paths.
  struct Key: Hashable, Sendable {
    let instance: InstanceID
    let name: Slug

    init(_ instance: InstanceID, _ name: Slug) { (self.instance, self.name) = (instance, name) }
  }

  private let directory: String
  private let program: String?
  private let timers: any Clock<Duration>
  private let logger: Logger
  private var tunnels: [Key: Tunnel] = [:]

  /// - Parameter program: the path or name of `cloudflared`; nil looks for it on the search path.
  public init(
    directory: String, program: String?, timers: any Clock<Duration> = ContinuousClock(), logger: Logger
  ) {
    self.directory = directory + "/tunnels"
    self.program = program
    self.timers = timers
    self.logger = logger
  }

  /// Takes up what the Connector before this one was asked to serve.
  func resume() {
    for key in recorded() where tunnels[key] == nil {
      do {
        guard let bytes = try DurableFile.read(planFile(key)) else { continue }
        start(key, try JSONDecoder().decode(TunnelPlan.self, from: Data(bytes)))
      } catch {
        let shown = AWError.wrapping(error, doing: "Taking up a tunnel")
        logger.error(
          "a tunnel could not be taken up", metadata: ["instance": "\(key.instance)", "error": "\(shown.chain)"])
      }
    }
  }

  /// Serves an Instance's port at a hostname. Asked for what is served already, it changes nothing.
  ///
  /// - Throws: `pathInvalid` for credentials that are none, and what the disk lacks.
  func serve(_ key: Key, at hostname: String, port: Int, credentials: Secret) async throws -> TunnelState {
    let plan = try TunnelPlan(hostname: hostname, port: port, credentials: credentials)
    let file = folder(key) + "/credentials.json"
    let known = try DurableFile.read(file)
    if let tunnel = tunnels[key], tunnel.plan == plan, credentials.withBytes({ known == $0 }) { return tunnel.now }
    await tunnels.removeValue(forKey: key)?.close()
    for path in [directory, folder(key.instance), folder(key)] { try DurableFile.makeDirectory(path, mode: 0o700) }
    try credentials.withBytes { try DurableFile.write($0, to: file) }
    let configuration = plan.configuration(credentialsFile: file)
    try DurableFile.write(Array(configuration.utf8), to: configurationFile(key))
    // The plan last: what is there without it was never asked for.
    try DurableFile.write(Array(try JSONEncoder().encode(plan)), to: planFile(key))
    start(key, plan)
    return look(key)
  }

  /// Ends it and forgets its credentials. What is not there is ended already.
  func end(_ key: Key) async throws {
    await tunnels.removeValue(forKey: key)?.close()
    try DurableFile.remove(folder(key))
  }

  func endAll(of instance: InstanceID) async throws {
    for key in tunnels.keys where key.instance == instance { try await end(key) }
    try DurableFile.remove(folder(instance))
  }

  func look(_ key: Key) -> TunnelState { tunnels[key]?.now ?? .absent }

  /// How the cloudflareds of each Instance are: of several the worst.
  func phases() -> [InstanceID: TunnelState.Phase] {
    Dictionary(tunnels.map { ($0.key.instance, $0.value.now.phase) }) { $0.severity >= $1.severity ? $0 : $1 }
  }

  /// Ends all, and leaves what each is asked to serve.
  func close() async {
    let all = tunnels.values
    tunnels = [:]
    await withTaskGroup(of: Void.self) { group in
      for tunnel in all { group.addTask { await tunnel.close() } }
    }
  }

  private func start(_ key: Key, _ plan: TunnelPlan) {
    let name = program ?? "cloudflared"
    let found = Tool.find(name, path: ProcessInfo.processInfo.environment["PATH"]) ?? name
    let tunnel = Tunnel(
      plan, program: found, configurationFile: configurationFile(key), timers: timers, logger: logger)
    tunnels[key] = tunnel
    tunnel.start()
  }

  // MARK: - On the disk

  private func recorded() -> [Key] {
    names(in: directory).compactMap { InstanceID($0) }.flatMap { instance in
      names(in: folder(instance)).compactMap { try? Slug($0) }.map { Key(instance, $0) }
    }
  }

  /// What is not there holds nothing.
  private func names(in folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  }

  private func folder(_ instance: InstanceID) -> String { directory + "/" + instance.text }
  private func folder(_ key: Key) -> String { folder(key.instance) + "/" + key.name.text }
  private func planFile(_ key: Key) -> String { folder(key) + "/plan.json" }
  private func configurationFile(_ key: Key) -> String { folder(key) + "/config.yml" }
}

extension TunnelState.Phase {
  fileprivate var severity: Int {
    switch self {
    case .up, .absent: 0
    case .starting: 1
    case .lost: 2
    case .refused: 3
    }
  }
}
