import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.List;
import org.bouncycastle.cms.CMSEnvelopedDataParser;
import org.bouncycastle.cms.KeyAgreeRecipientId;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientId;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.jcajce.JceKeyAgreeEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientId;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientId;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/** Decrypts DER or BER files with Bouncy Castle's streaming parser, which finds the recipient by the
 * certificate. The argument names a file of lines "PFX INPUT OUTPUT"; each PFX has the password
 * "secret", one key and its certificate. */
public final class Decrypt {
    private static KeyStore identity(String pfx) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12", "BC");
        try (InputStream in = Files.newInputStream(Path.of(pfx))) {
            store.load(in, "secret".toCharArray());
        }
        return store;
    }

    private static void decrypt(KeyStore identity, Path input, Path output) throws Exception {
        String alias = identity.aliases().nextElement();
        PrivateKey key = (PrivateKey) identity.getKey(alias, "secret".toCharArray());
        var certificate = (X509Certificate) identity.getCertificate(alias);
        boolean rsa = key.getAlgorithm().equals("RSA");
        RecipientId name = rsa
                ? new JceKeyTransRecipientId(certificate)
                : new JceKeyAgreeRecipientId(certificate);
        Recipient recipient = rsa
                ? new JceKeyTransEnvelopedRecipient(key).setProvider("BC")
                : new JceKeyAgreeEnvelopedRecipient(key).setProvider("BC");
        try (InputStream in = Files.newInputStream(input);
                OutputStream out = Files.newOutputStream(output)) {
            CMSEnvelopedDataParser parser = new CMSEnvelopedDataParser(in);
            RecipientInformation one = parser.getRecipientInfos().get(name);
            if (one == null) { // unlike key transport's, this name doesn't fit a key identifier too
                byte[] extension = certificate.getExtensionValue("2.5.29.14");
                byte[] octets = Arrays.copyOfRange(extension, 4, extension.length);
                one = parser.getRecipientInfos().get(new KeyAgreeRecipientId(octets));
            }
            one.getContentStream(recipient).getContentStream().transferTo(out);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        List<String> cases = Files.readAllLines(Path.of(arguments[0]));
        for (String line : cases) {
            String[] words = line.split(" ");
            decrypt(identity(words[0]), Path.of(words[1]), Path.of(words[2]));
        }
        System.out.println(cases.size() + " decrypted");
    }
}
