import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.MGF1ParameterSpec;
import java.util.List;
import java.util.Map;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import org.bouncycastle.asn1.ASN1EncodableVector;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.ASN1UTCTime;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.cms.CMSAttributes;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedDataStreamGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.SimpleAttributeTableGenerator;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;

/** Encrypts files with Bouncy Castle's streaming generator; authenticated, which it can't stream, with
 * the other one. The argument names a file of lines "CERTIFICATE INPUT OUTPUT CIPHER TRANSPORT
 * SEGMENT": aes128, aes192, aes256 or des3, or aes128gcm, aes192gcm or aes256gcm, each also with
 * "+attributes" that are authenticated; rsa, ski or oaep; and the octets of a segment. */
public final class Encrypt {
    private static final Map<String, ASN1ObjectIdentifier> CIPHERS = Map.of(
            "aes128", CMSAlgorithm.AES128_CBC,
            "aes192", CMSAlgorithm.AES192_CBC,
            "aes256", CMSAlgorithm.AES256_CBC,
            "des3", CMSAlgorithm.DES_EDE3_CBC,
            "aes128gcm", CMSAlgorithm.AES128_GCM,
            "aes192gcm", CMSAlgorithm.AES192_GCM,
            "aes256gcm", CMSAlgorithm.AES256_GCM);

    private static X509Certificate certificate(String name) throws Exception {
        try (InputStream in = Files.newInputStream(Path.of(name))) {
            CertificateFactory factory = CertificateFactory.getInstance("X.509");
            return (X509Certificate) factory.generateCertificate(in);
        }
    }

    private static RecipientInfoGenerator recipient(X509Certificate to, String transport)
            throws Exception {
        if (transport.equals("ski")) {
            byte[] identifier = new JcaX509ExtensionUtils()
                    .createSubjectKeyIdentifier(to.getPublicKey()).getKeyIdentifier();
            return new JceKeyTransRecipientInfoGenerator(identifier, to.getPublicKey())
                    .setProvider("BC");
        }
        if (!transport.equals("oaep")) {
            return new JceKeyTransRecipientInfoGenerator(to).setProvider("BC");
        }
        var parameters = new OAEPParameterSpec(
                "SHA-256", "MGF1", MGF1ParameterSpec.SHA256, PSource.PSpecified.DEFAULT);
        AlgorithmIdentifier oaep = new JcaAlgorithmParametersConverter()
                .getAlgorithmIdentifier(PKCSObjectIdentifiers.id_RSAES_OAEP, parameters);
        return new JceKeyTransRecipientInfoGenerator(to, oaep).setProvider("BC");
    }

    private static void authenticate(String[] words) throws Exception {
        String[] cipher = words[3].split("\\+");
        var generator = new CMSAuthEnvelopedDataGenerator();
        generator.addRecipientInfoGenerator(recipient(certificate(words[0]), words[4]));
        if (cipher.length > 1) {
            var attributes = new ASN1EncodableVector();
            attributes.add(new Attribute(CMSAttributes.signingTime,
                    new DERSet(new ASN1UTCTime("260101000000Z"))));
            attributes.add(new Attribute(CMSAttributes.contentType,
                    new DERSet(CMSObjectIdentifiers.data)));
            generator.setAuthenticatedAttributeGenerator(
                    new SimpleAttributeTableGenerator(new AttributeTable(attributes)));
        }
        var builder = new JceCMSContentEncryptorBuilder(CIPHERS.get(cipher[0])).setProvider("BC");
        var data = new CMSProcessableByteArray(Files.readAllBytes(Path.of(words[1])));
        var sealed = generator.generate(data, (OutputAEADEncryptor) builder.build());
        Files.write(Path.of(words[2]), sealed.getEncoded());
    }

    private static void encrypt(String[] words) throws Exception {
        var generator = new CMSEnvelopedDataStreamGenerator();
        generator.addRecipientInfoGenerator(recipient(certificate(words[0]), words[4]));
        generator.setBufferSize(Integer.parseInt(words[5]));
        var cipher = new JceCMSContentEncryptorBuilder(CIPHERS.get(words[3])).setProvider("BC");
        try (InputStream in = Files.newInputStream(Path.of(words[1]));
                OutputStream file = Files.newOutputStream(Path.of(words[2]));
                OutputStream out = generator.open(file, cipher.build())) {
            in.transferTo(out);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        List<String> cases = Files.readAllLines(Path.of(arguments[0]));
        for (String line : cases) {
            String[] words = line.split(" ");
            if (words[3].contains("gcm")) {
                authenticate(words);
            } else {
                encrypt(words);
            }
        }
        System.out.println(cases.size() + " encrypted");
    }
}
