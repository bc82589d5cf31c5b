import ArgumentParser
import Basics
import Client
import Credentials
import Deployment
import Fleet
import Foundation
import Logging
import Programme
import Web

struct Serve: AsyncParsableCommand, JSONAnswering {
  static let configuration = CommandConfiguration(
    abstract: "Run a control plane.",
    discussion: """
      It serves the console and the API, and waits for Hosts to dial its AW Gateway. It writes DIR/context.json, by \
      which the other verbs find it. Behind a proxy that ends TLS, pass --public-url.
      """)

  @Option(help: ArgumentHelp(HelpWords.data, valueName: "dir"), completion: .directory) var data: String?
  @Option(help: ArgumentHelp("Where the console and the API listen.", valueName: "address:port"))
  var listen = "127.0.0.1:\(ControlPlaneSettings.consolePort)"
  @Option(help: ArgumentHelp("Where the AW Gateway listens for Hosts.", valueName: "address:port"))
  var gatewayListen = "0.0.0.0:\(ControlPlaneSettings.gatewayPort)"
  @Option(
    help: ArgumentHelp(
      "The AW Gateway as Hosts reach it, for enrolment lines; else this machine's name.", valueName: "address:port"))
  var gatewayAddress: String?
  @Option(help: ArgumentHelp("What browsers see, when a proxy stands in front.", valueName: "url"))
  var publicURL: String?
  @Option(
    help: ArgumentHelp(
      "A file with a libpq connection string: the database is then PostgreSQL.", valueName: "file"),
    completion: .file())
  var postgres: String?
  @Option(
    help: ArgumentHelp(
      "The folder of the vault and its key, when several control planes share them; else the data directory.",
      valueName: "dir"), completion: .directory)
  var vault: String?
  @Option(help: ArgumentHelp("What to call this control plane among several; else this machine's name."))
  var name: String?
  @Option(
    help: ArgumentHelp("The model endpoint of synthetic Orgs, as Hosts reach it: http://…/v1.", valueName: "url"))
  var fixtureModel: String?
  @Option(help: ArgumentHelp("A file with the key of that endpoint.", valueName: "file"), completion: .file())
  var fixtureModelKeyFile: String?
  @Option(
    help: ArgumentHelp("A file that names the vaults of credentials beside AW's own.", valueName: "file"),
    completion: .file(extensions: ["json"]))
  var vaults: String?
  @Option(
    help: ArgumentHelp("The simulated vendors, where fixtures are validated: http://…/vendors.", valueName: "url"))
  var fixtureVendors: String?
  @Option(
    help: ArgumentHelp("A file with the keys of those who may open gates, one a line.", valueName: "file"),
    completion: .file())
  var approvers: String?
  @Option(
    help: ArgumentHelp("A file with the keys and roles of those who decide gates of the programme.", valueName: "file"),
    completion: .file())
  var signers: String?
  @Option(
    help: ArgumentHelp("A file that gives vendors other addresses than their own.", valueName: "file"),
    completion: .file(extensions: ["json"]))
  var vendorEndpoints: String?
  @Option(help: "Names the address by which questions to vendors leave; who shares it shares their budget.")
  var egress = "default"
  @Flag(help: "Let anybody who reaches the port read /metrics.") var publicMetrics = false
  @OptionGroup var rehearsal: RehearsalOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var log: LogOptions

  func run() async throws {
    let path = data ?? DefaultDirectory.path
    let settings = try settings()
    if rehearsal.dryRun {
      let plan = Plan(
        act: "serve", subject: "this machine",
        steps: [
          "Keep everything in \(path), made with mode 0700 when it is missing.",
          "Keep the vault in \(vault ?? path).",
          "Keep the database in \(postgres == nil ? "SQLite, in that directory" : "PostgreSQL").",
          "Serve the console and the API at \(listen).", "Wait for Hosts at \(gatewayListen).",
        ])
      return try Console.show(plan, json: output.json)
    }
    let logger = log.logger("aw", default: .info)
    let control = try await ControlPlane.open(
      try DataDirectory(path, vault: vault), settings, logger: logger)
    try await control.run { [output] running in
      if output.json {
        try Console.json(running.context)
      } else {
        Console.line("The control plane answers at \(running.url). Its context file: \(path)/\(ContextFile.name)")
      }
      return []
    }
  }

  private func settings() throws -> ControlPlaneSettings {
    var settings = ControlPlaneSettings()
    settings.console = try .init(listen)
    settings.gateway = try .init(gatewayListen)
    settings.gatewayAddress = try gatewayAddress.map { text in
      _ = try ControlPlaneSettings.Listen(text)
      return text
    }
    settings.publicURL = try publicURL.map(Self.base)
    settings.postgres = try postgres.map { try SecretFile.read($0) }
    settings.name = try name.map(Self.nodeName)
    settings.metricsArePublic = publicMetrics
    settings.vendors = try fixtureVendors.map {
      FixtureVendors(url: try Self.web($0, like: "http://10.0.0.5:8081/vendors"))
    }
    settings.egress = egress
    settings.approvers =
      try approvers.map {
        try GateTrust.approvers(parsing: String(decoding: try Self.file($0, .gateTrust), as: UTF8.self))
      } ?? []
    if let signers {
      let text = String(decoding: try Self.file(signers, .programmeSigners), as: UTF8.self)
      settings.signers = try ProgrammeTrust(deployment: "", parsing: text)
    }
    settings.endpoints =
      try vendorEndpoints.map { try VendorEndpoints(parsing: try Self.file($0, .usage)) } ?? .published
    settings.vaults =
      try vaults.map { try VaultSettings(parsing: try Self.file($0, .vaultSettings)) } ?? VaultSettings.none
    if let fixtureModel {
      let url = try Self.web(fixtureModel, like: "http://10.0.0.5:8081/v1")
      let key = try fixtureModelKeyFile.map { try SecretFile.read($0) } ?? Secret("")
      settings.model = FixtureModel(url: url, key: key)
    }
    return settings
  }

  private static func web(_ text: String, like example: String) throws -> URL {
    guard let url = URL(string: text), url.scheme?.hasPrefix("http") == true, url.host() != nil else {
      throw AWError(.usage, "\(text.quoted) is no http URL.", next: "Write it like \(example).")
    }
    return url
  }

  private static func nodeName(_ text: String) throws -> String {
    guard (1...64).contains(text.count), text.allSatisfy({ $0.isASCII && !$0.isWhitespace && !$0.isNewline }) else {
      throw AWError(
        .usage, "\(text.quoted) is no name for a control plane.", next: "Use 1 to 64 characters without spaces.")
    }
    return text
  }

  private static func file(_ path: String, _ code: ErrorCode) throws -> [UInt8] {
    do {
      return Array(try Data(contentsOf: URL(filePath: path)))
    } catch {
      throw AWError(code, "The file \(path) cannot be read.", next: "Give a file that can.", cause: error)
    }
  }

  /// A URL without the slash at its end.
  private static func base(_ text: String) throws -> String {
    _ = try web(text, like: "https://aw.example.com")
    return text.hasSuffix("/") ? String(text.dropLast()) : text
  }
}
