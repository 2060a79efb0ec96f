import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSEnvelopedDataStreamGenerator;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/** Seals messages with Bouncy Castle as S/MIME entities and times itself. The argument names a
 * certificate. Standard input has lines of words between tabs: "load FILE...", answered by how many
 * messages there are; "run COUNT", answered by the nanoseconds that so many took, on the wall and
 * of the processor; "write FILE", answered by the length of the first message, which now stands
 * there sealed. */
public final class Encrypt {
    private static final String HEADER =
            "MIME-Version: 1.0\r\n"
                    + "Content-Type: application/pkcs7-mime; smime-type=enveloped-data;"
                    + " name=\"smime.p7m\"\r\n"
                    + "Content-Transfer-Encoding: base64\r\n\r\n";

    // Of this thread alone: the clock of the process ticks only every 10 ms.
    private static final ThreadMXBean THREAD = ManagementFactory.getThreadMXBean();

    private final X509Certificate to;
    private final ByteArrayOutputStream sealed = new ByteArrayOutputStream();
    private final List<byte[]> messages = new ArrayList<>();
    private int next;

    private Encrypt(X509Certificate to) {
        this.to = to;
    }

    private void seal(byte[] message) throws Exception {
        sealed.reset();
        sealed.write(HEADER.getBytes(StandardCharsets.US_ASCII));
        var generator = new CMSEnvelopedDataStreamGenerator();
        generator.addRecipientInfoGenerator(new JceKeyTransRecipientInfoGenerator(to));
        // No provider is named, so that Java's own AES, which uses the processor's, does the work.
        var cipher = new JceCMSContentEncryptorBuilder(CMSAlgorithm.AES256_CBC).build();
        try (OutputStream lines = Base64.getMimeEncoder().wrap(sealed);
                OutputStream content = generator.open(lines, cipher)) {
            content.write(message);
        }
    }

    private String run(int count) throws Exception {
        long wall = System.nanoTime();
        long cpu = THREAD.getCurrentThreadCpuTime();
        for (int i = 0; i < count; i++) {
            seal(messages.get(next));
            next = (next + 1) % messages.size();
        }
        cpu = THREAD.getCurrentThreadCpuTime() - cpu;
        return (System.nanoTime() - wall) + "\t" + cpu;
    }

    private String load(String[] words) throws Exception {
        messages.clear();
        next = 0;
        for (int i = 1; i < words.length; i++) {
            messages.add(Files.readAllBytes(Path.of(words[i])));
        }
        return String.valueOf(messages.size());
    }

    private String write(String file) throws Exception {
        seal(messages.get(0));
        Files.write(Path.of(file), sealed.toByteArray());
        return String.valueOf(sealed.size());
    }

    private String answer(String[] words) throws Exception {
        return switch (words[0]) {
            case "load" -> load(words);
            case "run" -> run(Integer.parseInt(words[1]));
            case "write" -> write(words[1]);
            default -> throw new IllegalArgumentException("there is no command " + words[0]);
        };
    }

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        X509Certificate to;
        try (InputStream in = Files.newInputStream(Path.of(arguments[0]))) {
            to = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
        }
        System.out.println(
                new BouncyCastleProvider().getInfo() + ", Java " + Runtime.version().feature());
        var engine = new Encrypt(to);
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(engine.answer(line.split("\t")));
        }
    }
}
