import ArgumentParser
import Basics
import Client
import Deployment
import Foundation
import Link
import Logging
import Web

struct Connect: AsyncParsableCommand, JSONAnswering {
  static let configuration = CommandConfiguration(
    abstract: "Make this machine a Host and keep it linked.",
    discussion: """
      Paste the line that 'aw host enroll' printed: it pipes a one-time ticket into 'aw connect --enrol ADDRESS:PORT'. \
      After that 'aw connect' alone keeps the link. Nothing listens on this machine for AW.
      """)

  @Option(
    help: ArgumentHelp("Redeem the ticket that comes by standard input, at this AW Gateway.", valueName: "address:port")
  )
  var enrol: String?
  @Flag(help: "With --enrol: give up the identity that this machine has already.") var replace = false
  @Option(
    help: ArgumentHelp(
      "Where the Host's identity and its Instances are kept; else /var/lib/aw-host for root, "
        + "~/.local/share/aw-host for others.", valueName: "dir"),
    completion: .directory)
  var data: String?
  @Option(
    help: ArgumentHelp("The program to run as OpenClaw; else 'openclaw' on the search path.", valueName: "path"),
    completion: .file())
  var openclaw: String?
  @Option(help: ArgumentHelp("An argument before OpenClaw's own; may be repeated.", valueName: "word"))
  var openclawArgument: [String] = []
  @Option(help: ArgumentHelp("The Docker Engine's socket.", valueName: "path"), completion: .file())
  var dockerSocket = "/var/run/docker.sock"
  @Option(
    help: ArgumentHelp(
      "The cloudflared to run where a control path asks for one; else 'cloudflared' on the search path.",
      valueName: "path"), completion: .file())
  var cloudflared: String?
  @Option(help: ArgumentHelp("How many connections to keep to the AW Gateway.", valueName: "1|2"))
  var connections = LinkLimits.connectionsDefault
  @Option(
    help: ArgumentHelp(
      "Dial the AW Gateway here instead of where this machine enrolled; twice, each connection has its own address.",
      valueName: "address:port"))
  var gateway: [String] = []
  @Option(
    help: ArgumentHelp(
      "An HTTP proxy on the way there; else https_proxy and no_proxy of the environment.",
      valueName: "http://[user@]host:port"))
  var proxy: String?
  @Option(help: ArgumentHelp("A file with the password for the proxy.", valueName: "file"), completion: .file())
  var proxyPasswordFile: String?
  @Flag(help: "Run each Instance of the process runtime as a system user of its own. Needs root.") var ownUsers = false
  @OptionGroup var rehearsal: RehearsalOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var log: LogOptions

  func run() async throws {
    let path = data ?? DefaultDirectory.path + "-host"
    if rehearsal.dryRun { return try Console.show(plan(path), json: output.json) }
    let logger = log.logger("aw", default: .info)
    let directory = try DataDirectory(path)
    var settings = HostProgram.Settings()
    settings.openClaw = openclaw
    settings.openClawArguments = openclawArgument
    settings.dockerSocket = dockerSocket
    settings.cloudflared = cloudflared
    settings.ownUsers = ownUsers
    settings.connections = connections
    settings.gateways = try gateway.map { try .init($0) }
    try settings.useProxy(
      proxy, password: try proxyPasswordFile.map { try SecretFile.read($0) },
      environment: ProcessInfo.processInfo.environment)
    let program = HostProgram(directory: directory.path, settings: settings, logger: logger)
    if let enrol { try await redeem(at: enrol, program) }
    guard program.isEnrolled else {
      throw AWError(
        .enrolmentInvalid, "This machine is no Host yet: \(path) holds no identity.",
        next: "Paste the line that 'aw host enroll NAME' prints on the control plane.")
    }
    try await program.run()
  }

  func validate() throws {
    if let proxy, URLComponents(string: proxy)?.password != nil {
      throw ValidationError("A password among the arguments is seen by everybody: use --proxy-password-file.")
    }
    guard (1...LinkLimits.connectionsDefault).contains(connections), gateway.count <= LinkLimits.connectionsDefault
    else {
      throw ValidationError("A Connector keeps one or two connections, to as many addresses at most.")
    }
  }

  private func redeem(at gateway: String, _ program: HostProgram) async throws {
    let address = try ControlPlaneSettings.Listen(gateway)
    if program.isEnrolled, !replace {
      say("This machine is the Host '\(try program.slug)' already, so the ticket was not used.")
      return
    }
    let ticket = try EnrolmentTicket((readLine(strippingNewline: true) ?? "").trimmingCharacters(in: .whitespaces))
    let slug = try await program.enrol(at: address, ticket: ticket)
    say("This machine is the Host '\(slug)'.")
  }

  private func say(_ text: String) {
    if output.json { Console.line(JSONValue.object(["said": .string(text)]).canonical) } else { Console.line(text) }
  }

  private func plan(_ path: String) -> Plan {
    var steps = ["Keep the Host's identity and its Instances in \(path)."]
    if let enrol { steps.append("Redeem the ticket from standard input at \(enrol).") }
    steps.append("Keep a link to the AW Gateway until told to end, over \(Console.count(connections, "connection")).")
    return Plan(act: "connect", subject: "this machine", steps: steps)
  }
}
